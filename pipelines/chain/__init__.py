"""The parts of `s4 run`.

`stages/` has a class for each stage of the chain. All other modules treat the stages alike: `steps` puts them in order,
`fingerprints` and `state` remember what was done, `checks` looks at the inputs, `decision` says what is due, `plan` and
`report` tell of it.
"""
