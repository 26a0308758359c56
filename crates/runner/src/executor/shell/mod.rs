//! The shell executor: a fresh folder and a supervised process tree on this machine.
