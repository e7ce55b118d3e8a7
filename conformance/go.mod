module glue/conformance

go 1.26
