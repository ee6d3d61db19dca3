//! What the testbed's own program does; what its servers do is tried with Kubelend's tests, on the same ones.

mod orphans;
