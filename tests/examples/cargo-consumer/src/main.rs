use std::ffi::{c_char, CStr};

extern "C" {
    fn hello_kind() -> *const c_char;
    fn hello_root(number: f64) -> f64;
}

fn main() {
    let (kind, root) = unsafe { (CStr::from_ptr(hello_kind()), hello_root(27.0)) };
    println!("{} {:.1}", kind.to_str().unwrap(), root);
}
