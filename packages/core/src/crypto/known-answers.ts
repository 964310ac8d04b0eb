/**
 * The known answers of the start-up self-test: standard test cases, and long values made once from counting bytes
 * (seeds 00 01 02 .., randomness the same). test/crypto/self-test.test.ts makes the latter again.
 */

/** FIPS 180-4 and FIPS 202: the hashes of "abc". */
export const SHA256_ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
export const SHA512_ABC =
  'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f'
export const SHA3_256_ABC = '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532'
export const SHAKE256_ABC_48 =
  '483366601360a8771c6863080cc4114d8db44530f8f1e1ee4f94ea37e78b5739d5a15bef186a5386c75744c0527e1faa'
/** RFC 4231, case 2. */
export const HMAC_SHA256_JEFE = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
/** RFC 5869, case 1. */
export const HKDF_SHA256_RFC = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
/** Secret 00..15, salt 00..0c, info "abc", 42 bytes. */
export const HKDF_SHA512_COUNT = 'befe667ce0c220e494b0c293a8ab272551bd47bc9cb30a39ee4fed4488a3af28ab3eda577a88fdfd26ae'
/** RFC 7748, 6.1. */
export const X25519_ALICE_SECRET = '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'
export const X25519_ALICE_PUBLIC = '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'
export const X25519_BOB_PUBLIC = 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'
export const X25519_SHARED = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
/** McGrew and Viega, GCM, case 14: key, nonce and 16 bytes of text all zero. */
export const GCM_ZERO_CIPHERTEXT = 'cea7403d4d606b6e074ec5d3baf39d18'
export const GCM_ZERO_TAG = 'd0d1c8a799996bf0265b98b5d48ab919'

/** Seed 00..1f, message "abc". */
export const ED25519_PUBLIC = '03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8'
export const ED25519_SIGNATURE =
  'cc46d62d3754f41754b27b6ea2cb2c272bafa7a5a1f6062bd060f414e50caaeac2da66ad39cef4424a90236ea907b7d8057e3443dc5abfc9986967ee7213a407'
/**
 * Signatures of the same key and message that satisfy the equation in some other reading, and that the rule refuses:
 * R = 5B + a point of order 8; R = the identity encoded as y = p + 1; S + L.
 */
export const ED25519_REFUSED: readonly string[] = [
  'd0424b701d60255de5df705071059ccd22b8349bb4138202ebbd65e9e0ad211bbd37a4a3fb734de7a15f3decf797d1518180e84c777a557020309a9a45a6620f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7fd7268e7047d59aa1861952e61b5ef95dad7501bde84daf4ae97fd0422c435902',
  'cc46d62d3754f41754b27b6ea2cb2c272bafa7a5a1f6062bd060f414e50caaeaafae5c0a5431079b202d1b11880196ed057e3443dc5abfc9986967ee7213a417',
]

/** Seed 00..1f: SHA-256 of the public key; a signature of "abc" with context "self-test" and randomness 00..1f. */
export const MLDSA65_PUBLIC_SHA256 = 'd666806e11cee19a7c989f7445f90dd419cf4d2d51db8c0fdb4c0f0a542238c9'
export const MLDSA65_SIGNATURE_BASE64: string = [
  'ppYuvZd9p/eJ0qjDfCEfIPAhk+hDU7Pm0VPQoUaaDUlV40mnLDPuHCx1XLN/oEKxFpGJPK+yoiaMeqizC8skOso7fFotnsmSOzYXEU1l25MATxl8',
  'ZuiHqP1PLnwoInpXLOHIt9Zd+l2AhRh1dUO6l17jY+gT4LGHKklDrRSbsTtARoQPasgJKr8AJi38j52fHzjMPs+5wUU8/89WqLHpJb5iaHoacHX7',
  'TFJfM8JohP3kyO9Fb/eYQ6Y9UfqI5EwrGjtUUZ072j6dLV/T8vC2HINuu4AFiiwzo3BlE3tx8JGa+ulH1K6wadRrCBhmO86IODRNlSVm1OTZZBFj',
  '2feLJFpPjg1+kQoNPX/mTWl/LrgHfgMM0uQ5FlTmiNKWADP9OjUzDL8uAA5itK34jPhpe/kX/hjw8f1qQ1Qx1cfZV/GifVWhkmpN6ZOYQolEBpiS',
  'GQG3B6kXcQxjHt0tZj2jrO/wuMourE3MKM3+oI6t/u2lzuBPUmv43LqNTfEO7zJNLvsV/2NFAGCZKyoJzuF/W8qG0BF0MlyysncKKXIOOK197eu8',
  'tInqRIHqGBJYL5EO22oanxPUnd6O61WFoUdW4k0kiKiwI85138ViVRXRqrrwJOpP0Nog+TUg5ZvYU0vVrLaR+ALd+iQrU+VjajPubhxU6XSe+mWO',
  'fMsa/j4kAKzaUqHhHelOErdnp6X4zhJ4T15rNx3d7OvvnAbjpmdPButflac8ikcgABf5Du5cH7KEpKxm4c37K60pPLyYRIj95G3AGY6No3JWdZDZ',
  'XfJLprbs3LyqwiesToD1dzjwBLYJ2z7ehLNBQqqCRpuQmcAkgqYfjQue5HmH9WpKeT+gLVq2G3ZdTl9QL2d+k0Pq8nl+vliiSASuLutAGHOwKusW',
  '4L5bVMwk9FmbJffdFLHTJ63GRcuBmYYS1J9n+BnJ7bdnMnxtAT8iIXHV0s958+CkTP0VKbSjkurspqe1BS3BauOPGqAEk4PWqIS7QBg0hlYto+P8',
  'l0BaSycW6ZaGuWpMClMU3lwZU2bkHBrhPBkspBaIR8FBab64MuKOwwwMHv+95Ljn7cdQXmPTU09ND9yqnfPQeLjHNWSB0zjZp2i0vqEMCWzxi2Sj',
  '2KTqpE1I6j/3OTVCyOEjbj/GFgSsUiHi6bDsr3yJnRtJBb0QnCHOYXVTcoPaY08b72QBBer44sN+7ctTdaBPi2ph0YnSiwGgjDVXACEWRsVqZM5u',
  'm4ac0Iu0P4fojcAk06nh8FTcV1rhXYAJhYm8JVu91oSiX+TUyETE7pU8P18N6SbPs+aQo2uHAtMjod4w7jIlBUwjFS/BKdRUDpkPJK72w4+YtqXc',
  'eLQ4fqIRaxnNJvt3wWp5vE2Z4rBig1cIiiOcQxBKXtNsyF3kvY70MGKbY/ByagTmLBC9SAItfmcb/s9Ffpj6n3viGDXU4UQUefxrWS6e4zx/T2gn',
  'cyK6NTVieUljuCi/ZyBwHTAFjwJwSBwi5bwgh1w1Vru0PFJacRa9MyVyo9ZaTvYwq722DXGXPhbzkZV7Nb9e0/qC3jNJDEO8hHh9K0OTToycM8bV',
  '7ToLN1jJyHrLYOTbtV9fImd8JvQZY/mvwIwmOy9XVrLq1vanSjnxVydRqN8IAmUiO/LBvv7LADfmgQT5CwtXRZRcXwsG0wECc1s5T1dY8SrekJ2U',
  'Jj99jqIVf10MaP5wBWaIBgR2NYBhaZ1weg2E/3akDa1U4cIhaBbEVWsD9NEEZpfgG+1q9qJkxBkoWLYDiQApGuFMvjq0gaFWG4SabWf+kWqMWQuM',
  'LFrmJKb4EfKAhSN+MzzeLNB5u3GOawvGIBMb2rlCsvMaWBMLoPuYzuwt9Yq5kEW5Y055Ydex4DHdzo6wdZkx4ePyEvBAGt+JIlUxbJAPFeL1P48x',
  'PVZUBNK3rqVsJbW2oCq/YrYdCf9ioz4jf3sc1Yl2+dh5I0auhXYkXS6Hgi7+wzZllwiCqrl7bEpgNrXyjrUW7J/suBB+8K06NbZef/Od2cOgBjRr',
  'hlsO3EdCXvIbbgSW1pw1cRnPxgvegnL+2Bq/s7DJhyUJTBbkk55Mkmj5Ufj5NUJZ0GmHjpt2b53GBgp6tsQCqQjKW9a4xC4D9jvIjxxaRygifKJY',
  '8CTi96Ja6F+TbARt8qL3JMO4TUMuxMCT65V6V3o0B13L0/MTWAF/ldR63VHbJMOy8WFXbkAkV+anlfL8syNl9p/QFFRzq8SeyKHp6K2FsTK0F6iR',
  '8K+sZYlFEX4GNbPn6/32xnjpfKRjlpVoNEjrMFLJkIvbyEMppkjcf2pYxyeRJr7FbQzMEUmnaDqzJRy0YSY2u1KCbfg38Vv2HTndZedIEQmOdPuC',
  'tFBiEVgvJeYfbU0xZh2TxsUmfxwbVg3RpG/fjf9G4YCb92WAyD0W+xMzHXbxC5h5YqR6nCvoRoKNG/sqtc+CsyVVCokSbfvd87gmvkdqHHa6MSLC',
  'e14g/6KYcZ7RkGe/Q1zZ2xXqa94HwuBkNliXSU/jZGE2DLgDC5od9+0Vlqljx3QyV10UGjoy0nMVcWaExb6GsP3ZfGF2gP8ZEyETdgstgxo+pZjt',
  '2UiT7Nti/sohRYzibPHZezC/SUGkl5OoiPG2d92wf/ADdkooDrLJ8WVbLtS0TBLThl/zlExYZ5YYH5hoZkDT9AMu0MxTfNy7M1x2+bkdFpM5kC5J',
  'UvjcybEkRq3YjDN3NNDhtEVfzKt5ZXVw3otdQSGMtn6nEtHNlRACVuNyXl0JWoPb9x1Q+BC+UH7lN1VPJ7k01NELc0uDKnP+J9HvqKwwWStka/lP',
  'StH/v1Ss/vFroM8tG4z7exj8vowJfLBXrGHS95a/1zldxt3JrPMJWwelw0/K4KCq8j3W3LofsJks9W7vn6UXJVkwFPoPqVsRFCOap7CvdRJrg1SZ',
  'PXa184WCKJ6p9q3eGu4XWniQ9eI3M0GbFyOE0sOOCqKLQBfqesHp509J9MDIYoF4hMdRNpk8dggUnagh5J/znnnrDMMKFphaDdBp+0zV+k1avcOD',
  'pkvejmt2treZckNdXTMid0luAWrNKmQuY+6LEqhOXY81fVNN5Ps+gdu8bnYanxtpkkT0QB6nmzY8OQgkvrTJxKQJlyO3XJ/QI0T6WkO7Gh4dNAVF',
  'Z9cZYo5vwNvTgkfhDY9rTq9wZYd7VbBrJ5CcmEJucooCA6GG5Dy0pRrLpCEJhxq6l1kdIjpc08s6s/DRdPKIgr64fbNN7vqIyg/Uij82GRytfVZO',
  '9nlEkhC4i5+sc0gn8HxbQswZ3QbgkT3TqBs9PElZJW6xtOjpds/82irOg03IUaPP8OK9vMqpjxkQT5Wg6PC9/cAl3dDo7t/yiwMTwDIGunccH19m',
  '8Hhdin3OFXa4RFqI3EFJe1fksJQDYDAlAVFFz8MRdZLmeyXPLalraFiWA7WXG6ruwSC3CtDiGbpjWLtKuH2T36I7XtN2jNWdH8UzVj2DAkfMKTLp',
  'HvQMcoEzDQqtHCdIzLGdOosHrzfr1wMiIHA+dH1IXoBcnhqSvIV9CjsG6k4rSHTMHPDTafznC3fLtWmw+uba8nslaxcY4fL1sNUvfXIIjTHTFrfW',
  'PSjyTHlH4EepLdVaJDJxuQpdKwC/vVlZ40XtyN9aF5QYKg6KLEnPEM4UliVS07Xn/nfYleaZLLFi+9tVPaiFlsGqmDlhNZAKBojuYmT2cgdVnGqz',
  'Lo2KNNUhxxdALMZGvm887Ii2b5V2Sbj7FfOU72EMlDmjZf862IBnv77tB+t0PxsnELCfEHp0ucFt9UcIbS7MiVXUaJOp68GkgXr3RruFcVsOeenJ',
  'yX9bHtDfr41Mbm2LC2Pu9XurdciseLuspPeftMjoYF1bzooX7ryw3SY+pgo+TtlV3rDFFiudKc7WuIRB2Xzgc4ySEkLpgXqn9YUqvwKV8RtOjSY7',
  'Ywzeu8nNUh+YRT7VthTQY0BArLpXKXPRKEP7IrHUHQ4SBHeqEYzqAUZoJfaurhZKlaYiKdD0uulZj5mrVaypn6Q0XuceJtdQUQHxiBwadGS+oGT9',
  'tWCqwI1hL0NZd0PhIZuGiQIZo+YVmPXgKig2VuaChzcv2uaHgYN2OLujaxkOqo1BIs/LMXzwBDn8L6PwAQ/mWRcwOegAMtCiFFvUXD3z4xqEsnIe',
  'urm4MEz7f7Ly5jIJMwzxLVt5+awuYkA/gURdy4r8VxmRQ2SWGQBP3FEwtRanCjciEpJjn/Cmgd4v9h6K5dra+5Cj+a49xSwyEN3K3/aqCHichy8J',
  'p6l8UKN0Nhk0+xROSynacMADKl5qpuLm1BvwlTEdKQQszdYp+O6Iw3XZHcql9/CEwSxvrIoE80dZhpy3ueMDICwyiZQ8k9M7YmOVsLLa4QiSoL7w',
  'IrfGz90AAAAAAAAAAAAAAAAAAAAAAAAAAAAABgwPFxwh',
].join('')

/** Seed 00..3f: SHA-256 of the public key; the encapsulation with randomness 00..1f. */
export const MLKEM768_PUBLIC_SHA256 = '0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9'
export const MLKEM768_SHARED = '42f558b0bc5d700a911b0fc67f62376f7aee4667f1969e03f18bdfdf3c59fbdc'
export const MLKEM768_CIPHERTEXT_BASE64: string = [
  'cUlhrsiLsGI+tbADRRyj5M7+acnz1qONnBU4BninFz10NFhpO3UCxfMnvoSr7zKutHNclrFyTStHyqlDz+hawu5lFRODXsHaB5XJ3D1O97R98KHB',
  'En4iut7Y7OvxuNv/N38dHLOyQ87e4aoP54WwYW3mRnxTRW3SJ1vU4T1Zp3t7bFkeC7oBKoFMOn1H5dJ++m6RlvptwHfYa+j7PyOq2Sy2pQqDlG/L',
  '/aSU1mJ/jP9MSuMMU2N9/e1NZdDywC+KesyRPWWtM9TdiBAPYUS6WOLFQ/uwIX6CQgh0uYFFiht5unIl7+pbzjZtj6o9Fn5Vb/POk3hI/fH1S+Ye',
  'RpPd9fHorARP0ohgM8vPuooT1TZjsngVz30uiGBJFU/II0WGE3G4bmUwP3Q22UVAB5mdlbsTqoVhxXFrZuB04TsKL2WJzCONOYvX6utA2XzsjEYE',
  '/YQnjiziW1BTLaBmz3PBG85rpjP24YSj7GIkmStVd93DDibe0s3DRQrcCJXWu634JkiqKpbVQsOzI1WIX3iAeSXTgSdEEwgpKLUJ/Bu0KEHFs+Gp',
  '6ofbTsSAK0L8Q2bv6n52rYCP3It0/co8op+8nhajS312OgIh/pWalYS1N+GRG37y20Oqe+mgW9ylvCgDJvm1V5Eqf2Y9iaYzVO/QoL3sPpRdBXb8',
  'A8bvAKWZREpPx3M4GQb66kpZTwxstU/NkVhHJVMis/c9zKKCvO1b8TbFaP2q2GteH/A1A6QeciaxgR1p8P5HaoTIybwVs8M5UM3uj9Qc5IXHVJgv',
  '//J9eh+jcqzZsOv07xEgEasQf3xG2AZq2GNRmg0viU6lruBVZ+dgv7EHn2i05+7cG/IrSmq9S08VZ3QlusYG9vZOSsdT5cmW+kn3tDipURoVUHtw',
  '5nmHfe+W01phz1Pwqy7OrtZtrNjnOy39fgApf7mtEXI61TTmUu89/gzxNy6Y/0KZA3OngACH8+cwBhHMztA4dVlo/wpw/wOXdq/Mj/zZzCojTJlb',
  'jbm4fMepWK4Tp9iuUFXmLJu3tpgxj/EpKnTzYC+DiFXHxAFsG1fcWzRdnNYJRZo0iJV23LFiBja7QGM2GmwrpYZgqsrzZOIXlGnJNof+bi10wBvE',
  'UGn3pZ+n4RqT25mIuTuCw/cfz8pn20CKAWa0xGyxRBZ57WoM4DFweDHli50yPMDmlurphWU2rs/6HZ8KtinPJC3coyhp5dtZ4EnY5++mBLPoWeGq',
  '1szCCJB5RyEJKPknaO78b946MIjexjMZwC92iP22TTyJeHgFCJw+aPLVyt7UVrXXuXZrbk+9QUNUuvPgdZ2rJHufgnHDjsbgHTZJpiwpe1zZqnV+',
  'x3AaDyv9ThWwMxu8trC7kZaHXiZchr0UK+rRyt2plxLePz0N+smg3+Q8dmSYeUl/TP1OHF5oTo/ze6zI1hj2WnALQfAXCGeYL1pox1xlFQ4=',
].join('')

/** Password "abc", salt 00..0f, 64 KiB, 2 passes, 1 lane, 32 bytes. */
export const ARGON2ID_COUNT = '8f596dae3917ba9291cae7287667456afdddf9e9d39d7ae1fdfe6993635a99a7'
