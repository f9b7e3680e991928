//! Where the linker finds the memory map, and which shelf and features go into the flash.

fn main() {
    println!("cargo:rustc-link-search={}", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    println!("cargo:rustc-link-arg=-Tlink.x");
    println!("cargo:rerun-if-changed=memory.x");
    for name in ["SHELFWATCH_SHELF", "SHELFWATCH_FEATURES"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
}
