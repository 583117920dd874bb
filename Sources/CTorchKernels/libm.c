#include "ctk_libm.h"

#include <math.h>

double ctk_pow(double base, double exponent) { return pow(base, exponent); }
