/* A Python module with a function of each linked library. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <hello.h>
#include <hello_rust.h>

static PyObject *root(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyFloat_FromDouble(hello_root(value));
}

static PyObject *triple(PyObject *self, PyObject *number) {
    long value = PyLong_AsLong(number);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyLong_FromLong(hello_rust_triple((int32_t)value));
}

static PyMethodDef methods[] = {
    {"root", root, METH_O, "Return the cube root."},
    {"triple", triple, METH_O, "Return three times a number of 32 bits."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "consumer", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit_consumer(void) { return PyModule_Create(&module); }
