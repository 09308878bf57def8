//! The RDN-* headers, the 402 challenge and the REST bodies of µRaiden: parse and print only.
