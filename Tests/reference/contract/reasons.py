"""A check for schemathesis: requests that openapi.yaml allows get a 400 only for reasons that no schema can express."""

import re

import schemathesis

# Parameters of a query cannot depend on one another, and members of a flat object do not.
DEPENDENT = (
    r"is not a parameter of \w+, but of",
    r"(method|shape|value|sparsity): is missing",
    r"must be the only parameter of the query",
    r"digest: needs a format",
    r"format: is \w+, but the path ends in",
    r"takes the place of \w+; give one of the two",
    r"has no effect without a nonlinearity",
    r"gain: unknown activation",
    # Some methods take no mode, and only variance_scaling takes fan_avg.
    r"mode: unknown value \"(?i:fan_(in|out|avg))\"",
)
# A pattern restricts digits, not the size of a number; in a schema, 2.0 is an integer.
NUMBERS = (
    r"is over the largest float64",
    r"is out of range",
    r"must be an integer, found -?[0-9]+(\.0|(\.[0-9]+)?e\+?[0-9]+)$",
    r"seed: \"-?[0-9]+(\.0|(\.[0-9]+)?e\+?[0-9]+)\" is not an integer$",
)
# The layers of a model are listed by /methods, and its names are free.
MODEL = (r"^(layer|layers|tensors|rules|tie|slices|steps|include)(\.|:)", r"beside (layers|layer|tensors)")


@schemathesis.check
def refusals_have_reasons(context, response, case):
    if response.status_code != 400 or case.method == "HEAD" or case.meta.generation.mode.is_negative:
        return
    # To a schema, this member is text, whatever JSON it contains.
    if "request" in (case.query or {}):
        return
    detail = response.json()["detail"]
    reasons = NUMBERS + DEPENDENT + (MODEL if case.method == "POST" else ())
    assert any(re.search(reason, detail) for reason in reasons), f"a schema could say this: {detail}"
