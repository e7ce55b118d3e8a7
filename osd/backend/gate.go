package backend

// A Gate holds back what other copies may hear of a PG only when all that it may rest on is on
// disk. A log entry that others take over from here, and that is lost here by a crash, would name a
// version of an object that nobody has. The zero value is of a PG with nothing on its way.
type Gate struct {
	submitted, synced uint64 // transactions
	held              []held
}

type held struct {
	after uint64 // so many transactions
	tell  func()
}

// Submitted counts a transaction that the store has taken.
func (g *Gate) Submitted() { g.submitted++ }

// Tell calls tell when all transactions of now are on disk, in the order of these calls.
func (g *Gate) Tell(tell func()) {
	if g.synced == g.submitted && len(g.held) == 0 {
		tell()
		return
	}
	g.held = append(g.held, held{g.submitted, tell})
}

// Synced counts a transaction that is on disk; they get there in the order of submission.
func (g *Gate) Synced() {
	g.synced++
	for len(g.held) > 0 && g.held[0].after <= g.synced {
		tell := g.held[0].tell
		g.held = g.held[1:]
		tell()
	}
}

// Drop forgets what is held back: whom it was for has no use for it any more.
func (g *Gate) Drop() { g.held = nil }
