//! A function that C, or another crate, can call.

#[no_mangle]
pub extern "C" fn hello_rust_triple(number: i32) -> i32 {
    number.wrapping_mul(3)
}
