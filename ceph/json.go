package ceph

import "encoding/json"

// MarshalJSON is the object that Ceph's dumps show for an address.
func (a Addr) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type  string `json:"type"`
		Addr  string `json:"addr"`
		Nonce uint32 `json:"nonce"`
	}{a.Type.String(), a.HostPort(), a.Nonce})
}

var addrTypeNames = []string{"none", "v1", "v2", "any", "cidr"}

// String is the type's name, "???" for one that there is no name for.
func (t AddrType) String() string {
	if int(t) < len(addrTypeNames) {
		return addrTypeNames[t]
	}
	return "???"
}

// MarshalJSON is the object that Ceph's dumps show for a list of addresses.
func (v AddrVec) MarshalJSON() ([]byte, error) {
	list := []Addr(v)
	if list == nil {
		list = []Addr{}
	}
	return json.Marshal(struct {
		AddrVec []Addr `json:"addrvec"`
	}{list})
}

// Legacy is the v1 address, or else the first one, or a blank one: what fields that are older than
// address lists show.
func (v AddrVec) Legacy() Addr {
	if a := v.Of(AddrLegacy); a != (Addr{}) || len(v) == 0 {
		return a
	}
	return v[0]
}
