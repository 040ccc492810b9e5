//! The loop in which a kernel spends its time, and what it is made of.

use crate::asm::{Kind, Listing};
use crate::chips::Vendor;

/// Issue slots of a loop by what they occupy.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Mix {
    pub fma: u32,
    pub other: u32,
    pub shared: u32,
    pub memory: u32,
    pub control: u32,
}

impl Mix {
    fn of(listing: &Listing, body: &[bool]) -> Mix {
        let mut mix = Mix::default();
        for (i, _) in listing.instructions.iter().zip(body).filter(|(_, inside)| **inside) {
            *match i.kind {
                Kind::Fma => &mut mix.fma,
                Kind::Other => &mut mix.other,
                Kind::Shared => &mut mix.shared,
                Kind::Memory => &mut mix.memory,
                Kind::Control => &mut mix.control,
            } += i.slots;
        }
        mix
    }

    /// Share of multiply-adds among vector and memory instructions: the share of a chip's peak that the loop could reach if nothing
    /// ever waited.
    pub fn density(&self) -> f64 {
        f64::from(self.fma) / f64::from((self.fma + self.other + self.shared + self.memory).max(1))
    }
}

/// For every loop which instructions are inside: all that reach a jump back to its head without passing the head. Not all lines
/// in between, since compilers also put there what comes after the loop.
fn bodies(listing: &Listing) -> Vec<Vec<bool>> {
    let all = &listing.instructions;
    let mut before = vec![vec![]; all.len() + 1];
    for (i, instruction) in all.iter().enumerate() {
        let target = instruction.target.as_ref().and_then(|t| listing.labels.get(t));
        let next = instruction.goes_on.then_some(i + 1);
        target.copied().into_iter().chain(next).for_each(|to| before[to].push(i));
    }
    let body = |head: usize| {
        let mut open: Vec<usize> = before[head].iter().copied().filter(|&from| from >= head).collect();
        let mut inside = vec![false; all.len()];
        let loops = !open.is_empty();
        inside[head] = true;
        while let Some(i) = open.pop() {
            if !std::mem::replace(&mut inside[i], true) {
                open.extend(&before[i]);
            }
        }
        loops.then_some(inside)
    };
    (0..all.len()).filter_map(body).collect()
}

/// The loop with the most multiply-adds of which loops within it have less than half; none where none multiplies and adds.
pub fn hottest(vendor: Vendor, assembly: &str) -> Option<Mix> {
    let listing = Listing::read(vendor, assembly);
    let bodies = bodies(&listing);
    let mixes: Vec<Mix> = bodies.iter().map(|b| Mix::of(&listing, b)).collect();
    let within = |inner: &[bool], outer: &[bool]| inner != outer && inner.iter().zip(outer).all(|(i, o)| *o || !*i);
    let own = |&at: &usize| {
        let inner: Vec<_> = bodies.iter().filter(|b| within(b, &bodies[at])).collect();
        let inside: Vec<bool> = (0..listing.instructions.len()).map(|i| inner.iter().any(|b| b[i])).collect();
        mixes[at].fma > 0 && 2 * Mix::of(&listing, &inside).fma < mixes[at].fma
    };
    (0..bodies.len()).filter(own).map(|i| mixes[i]).max_by_key(|m| m.fma)
}

/// Small listings of every vendor, each with a loop of one multiply-add and what must not be taken for one.
const LISTINGS: &[(Vendor, &str, [u32; 5])] = &[
    (
        Vendor::Amd,
        "BB0:\n\tv_fma_f32 v0, v1, v2, v3 ; 1\nBB1:\n\ts_cbranch_scc1 BB3 ; 2\n\tds_read_b128 v[0:3], v9\n\tv_fmac_f32_e32 v1, v2, v3\n\
         \tv_add_u32_e32 v1, 1, v1\n\tbuffer_load_dword v1, s[0:3]\n\ts_branch BB1\nBB3:\n\tv_mul_f32 v1, v1, v1\n\ts_endpgm\n",
        [1, 1, 1, 1, 2],
    ),
    (
        Vendor::Intel,
        "LABEL2:\n(+f0.0) break(8) JIP:  LABEL1 UIP:  LABEL1 { align1 1Q };\nsend(8) g1UD g79UD nullUD 0x02 0x0\n            slm \
         MsgDesc: ( load ) base_offset 0 { align1 };\nsend(8) g2UD g79UD nullUD 0x02 0x0\n            ugm MsgDesc: ( load ) { align1 };\n\
         mad(16) g69<1>F g69<8,8,1>F g1<8,8,1>F g73<1,1,1>F { align1 };\nmad(8) g3<1>D g4<8,8,1>D g1<8,8,1>D g7<1,1,1>D { align1 };\n\
         sync nop(1) null<0,1,0>UB { align1 };\nLABEL1:\nwhile(8) JIP:  LABEL2 { align1 };\nmad(8) g3<1>F g4<8,8,1>F g1<8,8,1>F g7 { a };\n",
        [2, 1, 1, 1, 3],
    ),
    (
        Vendor::Qualcomm,
        "; sizes\nl8:\n(jp)(rpt1)nop\nbr p0.x, #l20\n(ss)(nop2) ldl.u32 r1.x, l[r2.x], 4\n(sy)(rpt3)mad.f32 r1.x, (r)r2.x, r3.x, (r)r1.x\n\
         isam.base0 (f32)(xyzw)r5.x, r6.x, s#0, t#4\nadd.u r1.x, r1.x, 4\njump #l8\nl20:\nmad.f32 r1.x, r1.y, r1.z, r1.w\nend\n",
        [4, 1, 1, 1, 4],
    ),
    (
        Vendor::Nvidia,
        "block.u 1 L1 [0, 9] -> {\n@!p0            bra L3 // delay=1\n} -> [2, 4]\nblock.u 2 L5 [1] -> {\n    st.global.a64 [r4..6] r72 \
         // delay=1\n    exit // delay=1\n} -> []\nblock.u 4 L3 [1] -> {\n  r66     = ffma.ftz r80 r72 r66  // delay=1\n  r72..76 = \
         ld.shared.strong.cta.b128 [r70] // delay=1\n  r71 p0 = iadd3 r70 c[0x1][0x30] rZ\n   bra L1  // delay=1\n} -> [1]\n",
        [1, 1, 1, 0, 2],
    ),
    (
        Vendor::Arm,
        "   NOP.wait0 \n\n   LOAD.i32.unsigned.slot0 @r0, thread_local_pointer.w0, offset:1\n   BRANCHZ.eq r0.h0, offset:3\n\n   FMA.f32 \
         r1, r2, r3, ^r1\n   IADD_IMM.i32 r0, ^r0, #0x1\n   BRANCHZ.eq.reconverge 0x0, offset:-5\n\n   FMA.f32 r1, r2, r3, ^r1\n   NOP.end \n",
        [1, 1, 0, 1, 2],
    ),
];

/// Every vendor's listing is read as it should be, and an outer loop counts where the inner one has little of its work.
pub fn listings_are_read() {
    for (vendor, listing, [fma, other, shared, memory, control]) in LISTINGS {
        let want = Mix { fma: *fma, other: *other, shared: *shared, memory: *memory, control: *control };
        assert_eq!(hottest(*vendor, listing), Some(want), "{vendor:?}");
    }
    let nested = |inner: usize, outer: usize| {
        let fma = "\tv_fmac_f32 v1, v2, v3\n";
        let text = format!(
            "BB0:\n{}BB1:\n{}\ts_cbranch_scc1 BB1\n\ts_cbranch_scc0 BB0\n\ts_endpgm\n",
            fma.repeat(outer),
            fma.repeat(inner)
        );
        hottest(Vendor::Amd, &text).map(|m| m.fma)
    };
    assert_eq!(nested(8, 2), Some(8), "the inner loop has most of the work");
    assert_eq!(nested(2, 8), Some(10), "the outer loop has most of the work");
    assert_eq!(nested(0, 0), None);
}
