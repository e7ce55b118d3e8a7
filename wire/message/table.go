package message

// Table has every message that Glue knows, in the order of their numbers.
var Table = []Row{}
