# Dies of a misspelt name, which Ruby points at.
warn "starting"
[1, 2].frist
