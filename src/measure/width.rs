//! Which width of vectors Mesa's software driver should compute with, from what is known of it and of the machine. No system call here.

/// Bits of the wide mode.
pub const WIDE: u32 = 512;

/// Versions of Mesa whose 512-bit mode gave correct results with every kernel. 25.0.7 and 26.1.6 are known to give wrong ones.
const GOOD: [&str; 1] = ["22.3.6"];

/// What the self-test said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// Every kernel matches its reference.
    Passed,
    /// What does not.
    Failed(String),
}

/// What is known about an adapter and about how the program was started.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Whether this process replaced one that chose the width.
    pub again: bool,
    /// Whether the user set the driver's variable.
    pub set: bool,
    /// Whether the user has forbidden re-execution.
    pub off: bool,
    /// Whether the processor has AVX-512.
    pub cpu: bool,
    /// Version of the adapter's driver as it states it; `None` if it is not Mesa's software driver for Vulkan.
    pub driver: Option<String>,
    /// What the self-test said.
    pub verdict: Option<SelfTest>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Keep this width; why.
    Stay(String),
    /// Run the self-test, then choose again.
    Test,
    /// Start again in the wide mode.
    Widen,
}

/// What to do, given what is known.
pub fn choose(known: &Situation) -> Next {
    let stay = |why: &str| Next::Stay(why.into());
    let Some(driver) = &known.driver else { return stay("") };
    if known.again {
        return stay("AVX-512, driver known good, self-test passed");
    }
    if known.set {
        return stay("LP_NATIVE_VECTOR_WIDTH is set");
    }
    if known.off {
        return stay("the default; --no-reexec or LUPE_NO_REEXEC is set");
    }
    if !known.cpu {
        return stay("the default; the processor has no AVX-512");
    }
    let version = version(driver);
    if !GOOD.contains(&version) {
        return Next::Stay(format!("the default; the 512-bit mode of Mesa {version} is not known to be correct"));
    }
    match &known.verdict {
        None => Next::Test,
        Some(SelfTest::Passed) => Next::Widen,
        Some(SelfTest::Failed(what)) => Next::Stay(format!("the default; the self-test at 512 bits failed: {what}")),
    }
}

/// `22.3.6` of `Mesa 22.3.6 (LLVM 15.0.6)`.
fn version(driver: &str) -> &str {
    driver.split_once("Mesa ").map_or(driver, |d| d.1).split(' ').next().unwrap_or(driver)
}

/// Whether `--device NAME` still finds the adapter of this title when its width, which is part of the title, changes.
pub fn found_when_wide(title: &str, name: &str) -> bool {
    let wide = title.rsplit_once(", ").map_or(title.into(), |(head, _)| format!("{head}, {WIDE} bits)"));
    wide.to_lowercase().contains(&name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESA: &str = "Mesa 22.3.6 (LLVM 15.0.6)";

    fn known() -> Situation {
        let driver = Some(MESA.into());
        Situation { again: false, set: false, off: false, cpu: true, driver, verdict: Some(SelfTest::Passed) }
    }

    fn stays(known: Situation, why: &str) {
        match choose(&known) {
            Next::Stay(text) => assert!(text.contains(why), "{why} is not in: {text}"),
            other => panic!("{known:?}: {other:?}"),
        }
    }

    #[test]
    fn the_width_by_what_is_known() {
        assert_eq!(choose(&known()), Next::Widen);
        assert_eq!(choose(&Situation { verdict: None, ..known() }), Next::Test);
        let failed = Some(SelfTest::Failed("conv3x3: row 2".into()));
        for (changed, why) in [
            (Situation { verdict: failed.clone(), ..known() }, "conv3x3: row 2"),
            (Situation { driver: Some("Mesa 25.0.7 (LLVM 19.1.7)".into()), ..known() }, "Mesa 25.0.7"),
            (Situation { driver: Some("Mesa 26.1.6".into()), ..known() }, "Mesa 26.1.6"),
            (Situation { driver: Some("Mesa 22.3.60 (LLVM 15.0.6)".into()), ..known() }, "Mesa 22.3.60"),
            (Situation { driver: Some("Mesa 22.3.6-devel (git-1)".into()), ..known() }, "22.3.6-devel"),
            (Situation { driver: Some(String::new()), ..known() }, "not known"),
            (Situation { driver: None, ..known() }, ""),
            (Situation { cpu: false, ..known() }, "no AVX-512"),
            (Situation { cpu: false, verdict: None, ..known() }, "no AVX-512"),
            (Situation { off: true, verdict: None, ..known() }, "--no-reexec"),
            (Situation { set: true, ..known() }, "LP_NATIVE_VECTOR_WIDTH"),
            (Situation { set: true, off: true, verdict: failed, ..known() }, "LP_NATIVE_VECTOR_WIDTH"),
            // The program that took this one's place sees the variable set, too: it stays, whatever else is known.
            (Situation { again: true, set: true, ..known() }, "self-test passed"),
            (Situation { again: true, verdict: None, ..known() }, "self-test passed"),
        ] {
            stays(changed, why);
        }
    }

    #[test]
    fn a_name_with_a_width_is_not_lost() {
        let title = "vulkan:llvmpipe (LLVM 15.0.6, 256 bits)";
        for name in ["llvmpipe", "LLVM 15.0.6", "vulkan:", "bits"] {
            assert!(found_when_wide(title, name), "{name}");
        }
        for name in ["256", "(LLVM 15.0.6, 256 bits)"] {
            assert!(!found_when_wide(title, name), "{name}");
        }
    }
}
