/* Empty on purpose: this module only carries the flags that find and link OpenBLAS. Its functions are declared where
   they are called, in CLinearAlgebra. */
