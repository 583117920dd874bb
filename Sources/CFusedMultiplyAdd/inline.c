#include "CFusedMultiplyAdd.h"

// All of it stands in the header, so that callers have it inline.
