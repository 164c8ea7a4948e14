/* Links two libraries from a registry: with CMake, Meson, or make and pkg-config. */
#include <hello.h>
#include <hello_rust.h>
#include <stdio.h>

int main(void) {
    printf("%s: %s %.0f %d\n", HELLO_GREETING, hello_kind(), hello_root(27), hello_rust_triple(7));
    return 0;
}
