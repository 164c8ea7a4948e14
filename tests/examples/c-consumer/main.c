/* Links a library from a registry: with CMake, Meson, or make and pkg-config. */
#include <hello.h>
#include <stdio.h>

int main(void) {
    printf("%s: %s %g\n", HELLO_GREETING, hello_kind(), hello_root(27));
    return 0;
}
