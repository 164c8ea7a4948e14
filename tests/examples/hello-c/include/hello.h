/* A small C library; hello.c says how it is built and packed. */
#ifndef HELLO_H
#define HELLO_H

#ifndef HELLO_GREETING
#error "the package says that HELLO_GREETING must be defined"
#endif

/* Whether the library was linked statically: "static" or "dynamic". */
const char *hello_kind(void);

/* The cube root, which needs the system's library m. */
double hello_root(double number);

#endif
