/* The C interface of a small Rust library. */
#ifndef HELLO_RUST_H
#define HELLO_RUST_H

#include <stdint.h>

int32_t hello_rust_triple(int32_t number);

#endif
