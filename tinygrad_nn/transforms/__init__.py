"""Functions of functions: grad, vjp, jvp, Jacobians, Hessians, checkpointing."""
