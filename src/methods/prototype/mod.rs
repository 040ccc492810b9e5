//! Prototypes: the mean vector of each class, and which of them a picture is nearest to.

pub mod head;
