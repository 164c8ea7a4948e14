/* A Python module with one function, of the linked library. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <hello.h>

static PyObject *root(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyFloat_FromDouble(hello_root(value));
}

static PyMethodDef methods[] = {
    {"root", root, METH_O, "Return the cube root."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "consumer", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit_consumer(void) { return PyModule_Create(&module); }
