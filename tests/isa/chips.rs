//! The chips that kernels are compiled for, and the drivers that do it where no such chip is.
//!
//! Mesa's driver for AMD comes with the distribution and needs no device. The others take a library in the place of the kernel's
//! driver; they come in one archive, which is unpacked once, or lie in the folder that `LUPE_MESA` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Who makes the chip, and so the words of its compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vendor {
    Amd,
    Intel,
    Qualcomm,
    Nvidia,
    Arm,
}

/// A chip that a driver compiles for.
#[derive(Debug)]
pub struct Chip {
    /// What tables call it.
    pub name: &'static str,
    pub vendor: Vendor,
    /// What the driver is told to choose it.
    pick: &'static str,
}

const fn chip(name: &'static str, vendor: Vendor, pick: &'static str) -> Chip {
    Chip { name, vendor, pick }
}

pub const CHIPS: &[Chip] = &[
    chip("AMD navi21", Vendor::Amd, "navi21"),
    chip("AMD gfx1100", Vendor::Amd, "gfx1100"),
    chip("AMD vega10", Vendor::Amd, "vega10"),
    chip("Intel dg2", Vendor::Intel, "dg2"),
    chip("Intel bmg", Vendor::Intel, "bmg"),
    chip("NVIDIA Ampere", Vendor::Nvidia, "172"),
    chip("Adreno 740", Vendor::Qualcomm, "740"),
    chip("Mali G610", Vendor::Arm, "a867"),
];

impl Chip {
    pub fn named(name: &str) -> Option<&'static Chip> {
        CHIPS.iter().find(|c| c.name == name)
    }

    /// Tells the Vulkan loader of `command` to open this chip.
    ///
    /// # Errors
    /// What is missing.
    pub fn choose(&self, command: &mut Command) -> Result<(), String> {
        let (stem, variable) = match self.vendor {
            Vendor::Amd => ("radeon", "RADV_FORCE_FAMILY"),
            Vendor::Intel => ("intel", "INTEL_STUB_GPU_PLATFORM"),
            Vendor::Qualcomm => ("freedreno", "FD_GPU_ID"),
            Vendor::Nvidia => ("nouveau", "NOUVEAU_CHIPSET"),
            Vendor::Arm => ("panfrost", "PAN_GPU_ID"),
        };
        let manifest = if self.vendor == Vendor::Amd {
            installed(stem)?
        } else {
            let folder = mesa().as_ref()?;
            command.env("LD_PRELOAD", folder.join(format!("lib{stem}_noop_drm_shim.so")));
            folder.join(format!("{stem}.json"))
        };
        if !manifest.is_file() {
            return Err(format!("{} is missing", manifest.display()));
        }
        // Mali's driver tells what it spills in a line for its developers alone.
        command.env(variable, self.pick).env("VK_ICD_FILENAMES", manifest).env("BIFROST_MESA_DEBUG", "shaderdb");
        command.env_remove("VK_DRIVER_FILES").env("MESA_SHADER_CACHE_DISABLE", "true").env("NODEVICE_SELECT", "1");
        Ok(())
    }
}

/// The manifest of a driver of the distribution.
fn installed(stem: &str) -> Result<PathBuf, String> {
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let names = [format!("{stem}_icd.x86_64.json"), format!("{stem}_icd.json")];
    let all = folders.iter().flat_map(|f| names.iter().map(move |n| Path::new(f).join(n)));
    all.into_iter().find(|p| p.is_file()).ok_or(format!("{} is not there (Debian: mesa-vulkan-drivers)", names[0]))
}

/// The folder with the drivers that no distribution has.
fn mesa() -> &'static Result<PathBuf, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("LUPE_MESA") {
            return Ok(folder.into());
        }
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tools/gpustats/mesa.tar.xz");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mesa");
        if folder.is_dir() {
            return Ok(folder);
        }
        if !archive.is_file() {
            return Err(
                "LUPE_MESA names no folder of drivers, and ../shared/tools/gpustats/mesa.tar.xz is not there".into()
            );
        }
        unpack(&archive, &folder).map_err(|e| format!("{} cannot be unpacked: {e}", archive.display()))?;
        Ok(folder)
    })
}

/// Whole or not at all: another process may look while this one unpacks.
fn unpack(archive: &Path, folder: &Path) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let beside = folder.parent().ok_or("it has no parent")?;
    std::fs::create_dir_all(beside).map_err(text)?;
    let scratch = tempfile::tempdir_in(beside).map_err(text)?;
    let status = Command::new("tar").arg("xf").arg(archive).arg("-C").arg(scratch.path()).status().map_err(text)?;
    if !status.success() {
        return Err(format!("tar ends with {status}"));
    }
    match std::fs::rename(scratch.path().join("mesa"), folder) {
        Err(e) if !folder.is_dir() => Err(e.to_string()),
        _ => Ok(()),
    }
}
