use std::ffi::CStr;
use std::os::raw::c_char;

extern "C" {
    fn hello_kind() -> *const c_char;
    fn hello_root(number: f64) -> f64;
    fn hello_rust_triple(number: i32) -> i32;
}

fn main() {
    let kind = unsafe { CStr::from_ptr(hello_kind()) }.to_str().unwrap();
    let (root, triple) = unsafe { (hello_root(27.0), hello_rust_triple(7)) };
    println!("{kind} {root:.0} {triple}");
}
