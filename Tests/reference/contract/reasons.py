"""A check for schemathesis: a request that openapi.yaml allows gets a 400 only for a reason that no schema there can say."""

import re

import schemathesis

# Parameters of a query cannot depend on one another, and members of a flat object do not.
DEPENDENT = (
    r"is not a parameter of \w+, but of",
    r"(method|shape|value|sparsity): is missing",
    r"stands alone in the query",
    r"digest: needs a format",
    r"format: is \w+, but the path ends in",
    r"takes the place of \w+; give one of the two",
    r"means nothing without a nonlinearity",
    r"gain: unknown activation",
    # Only kaiming takes a mode in any case, and only variance_scaling fan_avg.
    r"mode: unknown value \"(?i:fan_(in|out|avg))\"",
)
# A pattern says how digits look, not what they come to; to a schema, 2.0 is an integer.
NUMBERS = (
    r"is over the largest float64",
    r"is out of range",
    r"must be an integer, found -?[0-9]+(\.0|(\.[0-9]+)?e\+?[0-9]+)$",
    r"seed: \"-?[0-9]+(\.0|(\.[0-9]+)?e\+?[0-9]+)\" is not an integer$",
)
# A model's layers are those of /methods, and its names are its own.
MODEL = (r"^(layer|layers|tensors|rules|tie|slices|steps|include)(\.|:)", r"beside (layers|layer|tensors)")


@schemathesis.check
def refusals_have_reasons(context, response, case):
    if response.status_code != 400 or case.method == "HEAD" or case.meta.generation.mode.is_negative:
        return
    # Text to a schema, whatever JSON is in it.
    if "request" in (case.query or {}):
        return
    detail = response.json()["detail"]
    reasons = NUMBERS + DEPENDENT + (MODEL if case.method == "POST" else ())
    assert any(re.search(reason, detail) for reason in reasons), f"a schema could say this: {detail}"
