"""The command. Its modules are imported when their command is called, so that help is quick."""
