module glue/conformance

go 1.26.0

require glue v0.0.0-00010101000000-000000000000

replace glue => ../

require golang.org/x/sync v0.24.0 // indirect
