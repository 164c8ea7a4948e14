/* The second library of the package, which hello.c needs: the order of linking matters. */
#include <math.h>

double hello_base_root(double number) { return cbrt(number); }
