// Package channel gives each pair of parties a secret that nobody else has, and forgets it in time.
//
// Every party has a [Channels]. It publishes a signed bundle with a public key of the hybrid KEM MLKEM768-X25519
// inside its JOIN ([Channels.Bundle]), checks those of the others ([Channels.Check]), and for every pair of bundles
// there is one [Pair]. Both ends send each other one INIT ([Pair.Init], [Pair.Accept]): an encapsulation to the
// other's bundle, signed. After that both hold the same secret ([Pair.Secret]).
//
// # What is derived
//
// H is SHA-256, LP a four-byte length before the bytes, lo the end with the lower fingerprint. H(bundle) is over the
// whole encoded bundle, signature included, so an end that looks at another bundle gets another key.
//
//	INIT  = u8 1 | H(bundle_from) | H(bundle_to) | fp_from | fp_to | enc[1120] | nonce[32] | Ed25519ctx("weft/v1/init", all before)
//	ss    = HPKE base mode (RFC 9180; KEM 0x647a, HKDF-SHA256, export only),
//	        info "weft/v1/chan" || H(bundle_from) || H(bundle_to), Export("weft/v1/ss", 32)
//	T     = H("weft/v1/chan-th" || LP(bundle_lo) || LP(bundle_hi) || LP(init_lo) || LP(init_hi))
//	K     = HKDF-Extract(salt T, ikm LP(ss_lo→hi) || LP(ss_hi→lo))
//	epoch = HKDF-Expand(K, "weft/v1/epoch-id" || T, 16)
//
// Base mode authenticates no sender; the two signatures do, over both bundles and the encapsulation. Both directions
// are mixed, so K needs the private keys of both bundles or the memory of one end. The epoch stands in every header
// of the computation: that and the first authenticated body confirm the key, without a hop of their own.
//
// # One INIT per pair of bundles
//
// The INIT belongs to the two bundles, not to a computation: two computations that make first contact at once share
// it, and repeating it is harmless. A new one for each computation was rejected: ends that see the two INITs in
// different orders would not agree on the key. So the own INIT is made once and repeated byte for byte, and a second
// different one from the peer is [ErrDifferentInit].
//
// # What lives how long
//
// A bundle is new every [BundleEvery] and valid for [BundleValid]; its private key is in memory only and is erased at
// its not_after ([Channels.Tick]); K goes when the first of the two bundles ends. The own half of the secret goes as
// soon as K is there. Against an adversary with a quantum computer, a finished computation therefore stays secret if
// memory is taken after both ends have erased. Go does not promise that no copy remains: intermediate values of the
// standard library's KEM are freed, not overwritten.
//
// The package has no clock and no socket: its caller passes the time in.
package channel
