#ifndef CTORCHKERNELS_H
#define CTORCHKERNELS_H

#include "ctk_libm.h"

#endif
