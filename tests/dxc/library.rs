//! Microsoft's shader compiler (DXC) for Linux: where its library lies, and one call of it.
#![allow(unsafe_code)] // The calls go by the layout of one library, which `find` knows by its hash.

use libloading::{Library, Symbol};
use sha2::{Digest, Sha256};
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

const NAME: &str = "libdxcompiler.so";

/// DXC 1.7 as the package compushady 0.17.5 carries it. A newer one has another table of functions.
const HASH: &str = "fb549976da7abff1ee56bdfa4f5ab156b95e971d4270b5b4447b61682d105809";

/// The library: in the folder that `LUPE_DXC` names, or where `.ci/fetch` puts it, or beside the project.
///
/// # Errors
/// What is missing, and how to get it.
pub fn find() -> Result<PathBuf, String> {
    let folders = match std::env::var_os("LUPE_DXC") {
        Some(folder) => vec![folder.into()],
        None => vec![
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("dxc"),
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tools/dxc/out"),
        ],
    };
    let path = folders.iter().map(|f| f.join(NAME)).find(|p| p.is_file());
    let path = path.ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        format!("no {NAME} in {}; .ci/fetch brings it, and LUPE_DXC names a folder that has it", looked.join(", "))
    })?;
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    if hash != HASH {
        return Err(format!(
            "{} is another DXC than the one that this test can call; .ci/fetch brings it",
            path.display()
        ));
    }
    Ok(path)
}

#[repr(C)]
struct Guid(u32, u16, u16, [u8; 8]);

const COMPILER: Guid = Guid(0x73e2_2d93, 0xe6ce, 0x47f3, [0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0]);
const COMPILER_3: Guid = Guid(0x228b_4687, 0x5a6a, 0x4730, [0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54]);
const RESULT: Guid = Guid(0x5834_6cda, 0xdde7, 0x4497, [0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59]);

#[repr(C)]
struct Text {
    bytes: *const u8,
    len: usize,
    encoding: u32,
}

const UTF_8: u32 = 65001;

/// Said of every text off Windows, even where warnings are off: the validation itself is in this library, signing is not.
const UNSIGNED: &str =
    "warning: DXIL.dll not found.  Resulting DXIL will not be signed for use in release environments.";

type Object = *mut c_void;
type Status = i32;
type Create = unsafe extern "C" fn(*const Guid, *const Guid, *mut Object) -> Status;
type Compile =
    unsafe extern "C" fn(Object, *const Text, *const *const u32, u32, Object, *const Guid, *mut Object) -> Status;
type GetStatus = unsafe extern "C" fn(Object, *mut Status) -> Status;
type GetBlob = unsafe extern "C" fn(Object, *mut Object) -> Status;
type GetPointer = unsafe extern "C" fn(Object) -> *const u8;
type GetSize = unsafe extern "C" fn(Object) -> usize;

/// Function `number` of an object's own: before it are three that every object has, and two for its destructor.
unsafe fn method<F: Copy>(object: Object, number: usize) -> F {
    unsafe {
        let table = *object.cast::<*const *const c_void>();
        std::mem::transmute_copy(&*table.add(5 + number))
    }
}

/// A copy of the bytes that a result holds as its function `number` gives them.
unsafe fn blob(result: Object, number: usize) -> Result<Vec<u8>, String> {
    unsafe {
        let mut blob = null_mut();
        succeeded("the result", method::<GetBlob>(result, number)(result, &mut blob))?;
        if blob.is_null() {
            return Ok(vec![]);
        }
        let (bytes, len) = (method::<GetPointer>(blob, 0)(blob), method::<GetSize>(blob, 1)(blob));
        Ok(if len == 0 { vec![] } else { std::slice::from_raw_parts(bytes, len).to_vec() })
    }
}

fn succeeded(what: &str, status: Status) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("{what}: DXC's status is {status:#010x}")) }
}

/// DXIL of an HLSL text, by the command line `args`. What it allocates is left to the end of the process.
///
/// # Errors
/// What the compiler says, warnings too if they were asked for: wgpu takes any word for a refusal.
pub fn compile(library: &Path, hlsl: &str, args: &[String]) -> Result<Vec<u8>, String> {
    let wide: Vec<Vec<u32>> = args.iter().map(|a| a.chars().map(u32::from).chain([0]).collect()).collect();
    let pointers: Vec<*const u32> = wide.iter().map(|w| w.as_ptr()).collect();
    let text = Text { bytes: hlsl.as_ptr(), len: hlsl.len(), encoding: UTF_8 };
    unsafe {
        let library = Library::new(library).map_err(|e| e.to_string())?;
        let create: Symbol<Create> = library.get(b"DxcCreateInstance\0").map_err(|e| e.to_string())?;
        let (mut compiler, mut result) = (null_mut(), null_mut());
        succeeded("no compiler", create(&COMPILER, &COMPILER_3, &mut compiler))?;
        let count = u32::try_from(pointers.len()).map_err(|e| e.to_string())?;
        let call: Compile = method(compiler, 0);
        succeeded("no result", call(compiler, &text, pointers.as_ptr(), count, null_mut(), &RESULT, &mut result))?;
        let mut status = 0;
        succeeded("no status", method::<GetStatus>(result, 0)(result, &mut status))?;
        let said = blob(result, 2)?;
        let said = String::from_utf8_lossy(&said).replace(UNSIGNED, "").trim_end_matches('\0').trim_end().to_string();
        if !said.is_empty() {
            return Err(said);
        }
        succeeded("it says nothing", status)?;
        let dxil = blob(result, 1)?;
        std::mem::forget(library);
        if dxil.starts_with(b"DXBC") { Ok(dxil) } else { Err("what DXC gave is no DXIL container".into()) }
    }
}
