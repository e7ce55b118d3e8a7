package service

import "glue/ceph"

// Addrs is an address vector in JSON.
type Addrs struct {
	AddrVec []Addr `json:"addrvec"`
}

// Addr is one address in JSON.
type Addr struct {
	Type  string `json:"type"`
	Addr  string `json:"addr"`
	Nonce uint32 `json:"nonce"`
}

// AddrsOf converts.
func AddrsOf(v ceph.AddrVec) Addrs {
	out := Addrs{[]Addr{}}
	for _, a := range v {
		out.AddrVec = append(out.AddrVec, AddrOf(a))
	}
	return out
}

// AddrOf converts.
func AddrOf(a ceph.Addr) Addr {
	t := map[ceph.AddrType]string{
		ceph.AddrNone: "none", ceph.AddrLegacy: "v1", ceph.AddrMsgr2: "v2", ceph.AddrAny: "any",
		ceph.AddrCIDR: "cidr",
	}[a.Type]
	if a.IsBlank() && a.Type == ceph.AddrNone {
		return Addr{t, ":/0", a.Nonce}
	}
	return Addr{t, a.HostPort(), a.Nonce}
}
