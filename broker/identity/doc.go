// Package identity is who a party is: an Ed25519 key, the certificate that binds it to a name and an organisation, and
// the consortium's authority that issued it.
//
// A reader starts at ParseLeaf and Roots.Verify for what comes from others, at New and LoadIdentity for one's own.
//
// A certificate alone admits nobody: it says who holds a key, and each party's own list of fingerprints says whom it
// computes with. The fingerprint covers the key and not the certificate, so a renewed certificate changes no list.
//
// An identity key signs messages of weft and nothing else. Its certificate carries one extended key usage, our own, so
// no TLS stack accepts it as a client or a server; and every signature is Ed25519ctx (RFC 8032, section 5.1) under one of
// the contexts listed here, so that a signature over one kind of message is none over another, and none a plain Ed25519
// verifier accepts. Certificates live 30 days at most: that is the bound on how long a lost key is believed, without
// lists of revocations that a laptop would have to fetch.
//
// A coordinator's certificate says that it is a dealer's (UsageDealer). It helps computations as one who is no party, and no
// check that asks for a party accepts it; nor a party's certificate, which a dealer's asks for.
//
// The same authority issues the certificates for TLS between brokers and their clients (NewTLS, IssueTLS), for other keys
// and other usages: neither kind is accepted in the place of the other. The authority's own key can be kept behind a
// passphrase (SaveSealed).
package identity
