/** Every limit, with its unit and its reason. Limits that make an event void belong to the fold level (docs/FORMAT.md). */

/** Bytes of one record. One limit on all engines, so that a chain can move between them; JetStream takes 1 MiB messages. */
export const RECORD_BYTES_MAX: number = 960 * 1024
/** Bytes of one encoded body: leaves room for the clear part of a commit that holds just it. */
export const BODY_BYTES_MAX: number = 896 * 1024
/** Events of one commit: bounds the work that one signature can ask of a reader. */
export const COMMIT_EVENTS_MAX = 65_536
/** Transactions of one commit. */
export const COMMIT_TXS_MAX = 16_384
/** Guards of one transaction. */
export const TX_GUARDS_MAX = 65_536
/** Bytes of the rare fields of one event (policies, wraps, counters). */
export const EVENT_RARE_BYTES_MAX: number = 512 * 1024
/** Sealed blocks of one commit: one for each epoch that is used. */
export const COMMIT_BLOCKS_MAX = 255
/** Levels of the tree, the root being 0. Bounds every walk to the root. */
export const TREE_DEPTH_MAX = 32
/** Bytes of a type, collection, role, counter or map-key name in UTF-8. */
export const NAME_BYTES_MAX = 512
/** Entries of one policy list. */
export const POLICY_ENTRIES_MAX = 256
/** Members of one role: a removal wraps the new key to all of them in one event, 1.2 kB each. */
export const ROLE_MEMBERS_MAX = 256
/** Keys of one person at a time: a removal wraps the new key to all of them in one event, 1.2 kB each. */
export const PERSON_KEYS_MAX = 64
/** Counters of one entity. */
export const COUNTERS_MAX = 64
/** Bits of a counter's magnitude. */
export const COUNTER_BITS_MAX = 127
/** How far the author's clock may run ahead of the record it is judged by, in ms. */
export const AUTHOR_AHEAD_MS = 60_000
/** How far the clock of a client may be ahead of its server's, in ms, before what it signs is refused as too long-lived. */
export const CLOCK_AHEAD_MS: number = 5 * 60_000
/** How long a writer certificate lives, in ms of chain time. */
export const CERTIFICATE_MS: number = 24 * 3_600_000
/** Processes, or tabs, of one machine that write one chain under one identity, each with a certificate that is kept; others have none. */
export const WRITER_PLACES_MAX = 16
/** Bytes of the facts of a refusal that a server tells: some short values. */
export const ERROR_FACTS_BYTES_MAX = 4096
/** Records of one submission, and their bytes: an append of a writer. */
export const SUBMISSION_ENTRIES_MAX = 16_384
export const SUBMISSION_BYTES_MAX: number = 16 * 1024 * 1024
/** Bytes of records that a server sends to a reader who has not said that he has taken earlier ones. */
export const READ_WINDOW_BYTES: number = 4 * 1024 * 1024
/** Bytes of records that a client takes before it says so: a small part of the window, and not each commit a message of its own. */
export const READ_CREDIT_BYTES: number = READ_WINDOW_BYTES / 8
/** Bytes of the newest records that a server keeps in memory, of one chain: what readers who keep up are sent. */
export const RECENT_BYTES_MAX: number = 4 * 1024 * 1024
/** How long they stay there after the newest, in ms. */
export const RECENT_IDLE_MS = 10_000
/** Chains that one connection has open, and identities that speak on it. */
export const CHANNELS_MAX = 4096
export const SESSIONS_MAX = 256
/** How long a client may take for the messages of its handshake, in ms. */
export const HANDSHAKE_MS = 5000
/** And from there until an identity has proved itself: until then the connection holds a place among those that open. */
export const SESSION_MS = 10_000
/** Chains that a server has open: some 60 kB each, and more with what stands in them. */
export const OPEN_CHAINS_MAX = 16_384
/** Files of its chains that a server keeps open with the system, unless the system allows it fewer. */
export const CHAIN_FILES_MAX = 4096
/** Bytes that an identity may store beyond its quota of what holds no values: deletions, and what ends open writes. */
export const QUOTA_SLACK_BYTES: number = 1024 * 1024
/** An exchange of keys costs a server a fraction of a millisecond: a connection has one in so many ms. */
export const REKEY_MS_MIN = 60_000
/** What an entry of a submission takes beside its bytes, and a frame beside what it carries: bounds how many small ones come. */
export const ENTRY_COST_BYTES = 256
export const FRAME_COST_BYTES = 1024
/** How long a server gives out one delegation of its keys, in ms: a seventh of the time that it lasts. */
export const SERVER_KEY_MS: number = 24 * 3_600_000
/** How far ahead of all that a server has dated the bound is that it keeps for the next start, in ms: what a crash may put its dates ahead. */
export const DATES_KEPT_MS: number = 10 * 60_000
/** How far a server dates ahead of its clock, which was set back, in ms: a delegation that is about to be renewed must cover it. */
export const DATED_AHEAD_MS_MAX: number = 24 * 3_600_000
/** How long a server waits with a checkpoint behind a record that none covers, in ms. */
export const CHECKPOINT_DELAY_MS = 60_000
/** Bodies that one chain asks its server for at a time. */
export const BODIES_ASKED_MAX = 4096
/** Attached keys that one chain asks its server for at a time, and those that wait for one of these to be answered. */
export const KEYS_ASKED_MAX = 64
export const KEYS_WAITING_MAX = 16_384
/** How long a record of asking for an attached key is good for, in ms by the server's clock: a slow line, not another day. */
export const KEY_RECORD_MS: number = 5 * 60_000
/** Bytes of the entries of a key ring that servers of one ring give each other at once, one entry at least. */
export const RING_PAGE_BYTES: number = 256 * 1024
/** What an attached key takes beside its bytes where transactions and submissions are bounded. */
export const KEY_COST_BYTES = 64
/** How long a server that answers before it syncs leaves records to the system alone, in ms: as Redis's `everysec`. */
export const SYNC_DELAY_MS = 1000
/** How long a chain that is connected waits until it looks again for what another process or tab of this machine has left, in ms. */
export const LEFT_LOOK_MS = 30_000
/** How long a client waits before it connects again, in ms: doubled from try to try, up to the second. */
export const LINK_RETRY_MS = 500
export const LINK_RETRY_MAX_MS = 60_000
/** How long a server may bring nothing at all while it is waited for by who refreshes a chain, in ms. */
export const SERVER_SILENT_MS = 30_000
/** And by who closes one: what was acknowledged is there, and nobody waits longer to go. */
export const CLOSE_SILENT_MS = 5_000
/** Servers that send a client on to another one, before he gives up: lists of a ring that differ. */
export const REDIRECTS_MAX = 4
/** How long until a server offers chains that belong elsewhere again, in ms: doubled while some are left, up to the second. */
export const RING_OFFER_MS = 1000
export const RING_OFFER_MAX_MS = 60_000
/** Of those who share a folder: how long until they look again for who leads, in ms, at first and at last. */
export const SHARE_RETRY_MS = 10
export const SHARE_RETRY_MAX_MS = 100
/** How long one waits for a folder that somebody has and does not share, in ms: a leader comes and goes in less. */
export const SHARE_WAIT_MS = 3000
/** Of tabs that share a connection: until a leader that answers nobody is put down, and of each sign of life from it, in ms. */
export const TAB_SILENT_MS = 3000
export const TAB_PING_MS = 3000
/** An exchange of new keys on a connection that is in use, in ms: what a thief of keys knows ends there. */
export const REKEY_MS: number = 3_600_000
/** Bytes that wait to be ordered by a server, of one chain: beyond, who submits is asked to wait. */
export const SUBMITTED_BYTES_MAX: number = 64 * 1024 * 1024
/** Nesting of CBOR from outside. */
export const CBOR_DEPTH_MAX = 32
/** Items of one CBOR value from outside. */
export const CBOR_ITEMS_MAX = 65_536
/** Bytes of a bigint's magnitude in CBOR: 128 bits hold every counter; conversion of longer ones costs the square of the length. */
export const BIGINT_BYTES_MAX = 16
/** Transactions staged and not yet acknowledged, and their bytes: beyond, transact waits. */
export const PENDING_TXS_MAX = 65_536
export const PENDING_BYTES_MAX: number = 64 * 1024 * 1024
/** An attestation covers at most this many commits, and comes at most this many ms after the first of them. */
export const ATTEST_COMMITS_MAX = 1024
export const ATTEST_DELAY_MS = 1000
/** Heads of a lost branch that one record of recovery names. */
export const RECOVER_LOST_MAX = 16
/** Decoded values that a chain keeps for reading. */
export const VALUE_CACHE_ENTRIES = 65_536
/** And the bytes of their bodies: an archive reads values of 900 kB one after the other. */
export const VALUE_CACHE_BYTES: number = 64 * 1024 * 1024
/** Characters of an identity's text: four times what is written. */
export const IDENTITY_TEXT_MAX = 4096
/** Argon2id parameters that a file may ask for: four times the default memory; bounds what opening it costs. */
export const ARGON2_MEMORY_KIB_MAX = 262_144
export const ARGON2_PASSES_MAX = 16
export const ARGON2_LANES_MAX = 16
/** Bytes of one append to a log, the 36 bytes that go with each record counted in: a reader holds a batch whole. */
export const BATCH_BYTES_MAX: number = 16 * 1024 * 1024 - 64
/** Bytes of one segment file of a log: what a crash can make a writer walk at open. */
export const SEGMENT_BYTES: number = 64 * 1024 * 1024
/** Bytes of one segment of a backup: what is held in memory, and hashed without a pause, when its file is read whole. */
export const BACKUP_SEGMENT_BYTES: number = 8 * 1024 * 1024
/** Bytes of one file of a backup that is read whole: eight times what is written. */
export const BACKUP_FILE_BYTES_MAX: number = 64 * 1024 * 1024
/** Bytes of the list of a backup's files: half a million files. */
export const BACKUP_LIST_BYTES_MAX: number = 64 * 1024 * 1024
/** Bytes of one entry of the key ring: some two hundred wraps of 1.2 kB, read whole. */
export const RING_KEY_BYTES_MAX: number = 256 * 1024
/** Bytes of one entry of this machine's state: some ten thousand known chains. */
export const STATE_BYTES_MAX: number = 1024 * 1024
/** Characters of a proof's or an evidence's text: a record of 960 KiB and a genesis of 512 KiB in base64, and what goes with them. */
export const PROOF_TEXT_MAX: number = 4 * 1024 * 1024
/** Hashes of one path: a tree of 2^53 leaves is no higher. */
export const PROOF_PATH_MAX = 128
/** Bytes of a checkpoint's note, and its signature lines: the root's own, and those of witnesses. */
export const NOTE_BYTES_MAX: number = 16 * 1024
export const NOTE_LINES_MAX = 32
/** Witnesses that one may rely on at once: more lines than that do not fit into a note. */
export const WITNESSES_MAX = 32
/** How long a checkpoint waits for its witnesses, in ms: other records of this writer wait with it. */
export const COSIGN_MS = 10_000
/** Records between a signed statement and the record that it is held against: their heads are part of the evidence, 150 characters each. */
export const EVIDENCE_LINKS_MAX = 1024
/**
 * Bytes of a snapshot that is looked at: some hundred million entities. What is behind its foot takes memory for 32 bytes
 * a piece before its tag is checked, and nothing else does.
 */
export const SNAPSHOT_BYTES_MAX: number = 16 * 1024 * 1024 * 1024
/**
 * A snapshot is written when this much of the log is new since the last one: what an opening verifies in a twentieth of
 * a second. A record counts as its bytes and this many more, because its signature takes as long as they would.
 */
export const SNAPSHOT_NEW_BYTES_MIN: number = 8 * 1024 * 1024
export const SNAPSHOT_RECORD_BYTES: number = 16 * 1024
/** And when what is new is at least this part of the state: a large one is not written for little. */
export const SNAPSHOT_STATE_SHARE: number = 1 / 4
/** Bytes of one WebSocket message: the largest frame (WIRE_PLAINTEXT_BYTES_MAX), and what seals it. */
export const SOCKET_MESSAGE_BYTES_MAX: number = 1024 * 1024 + 8192
/** Fragments of one message: a browser makes 64 KiB each; many tiny ones are an attack on memory. */
export const SOCKET_FRAGMENTS_MAX = 1024
/** Pieces in which the system gives one message: 1 MiB in the smallest packets that networks make is half of it. */
export const SOCKET_PIECES_MAX = 4096
/** Bytes at or below which a socket's own buffer counts as drained. */
export const SOCKET_LOW_BYTES: number = 64 * 1024
/** Bytes of the text that goes with a close: what a control frame holds beside the code (RFC 6455, 5.5). */
export const SOCKET_REASON_BYTES_MAX = 123
/** Bytes and count of an HTTP request's headers: a browser's with a few cookies are a quarter. */
export const SOCKET_HEADER_BYTES_MAX = 8192
export const SOCKET_HEADERS_MAX = 64
/** Connections of a server at a time: at 60 kB each, 600 MB. */
export const SOCKETS_MAX = 10_000
/** How long a client tries to connect, in ms. */
export const SOCKET_DIAL_MS = 10_000
/** How long a connection may take to send its headers (and to agree on TLS), in ms: a slow one holds a place. */
export const SOCKET_OPENING_MS = 10_000
/**
 * Silence after which a peer is asked for a sign of life at the latest, in ms, and as much again until it is given up. Half of
 * what proxies bear (60 s: nginx, load balancers of clouds), since a ping may be late.
 */
export const SOCKET_IDLE_MS = 30_000
/** How often in that time it is looked who is silent. */
export const SOCKET_IDLE_CHECKS = 3
/** How long the other side may take to answer a close, in ms. */
export const SOCKET_CLOSE_MS = 5000
/** Bytes of the messages of a handshake: 1.3 kB, 18 kB with a succession, and 33 bytes are written. Bounds what a stranger can make us hold. */
export const HELLO_BYTES_MAX = 2048
export const REPLY_BYTES_MAX: number = 20 * 1024
export const FINISH_BYTES_MAX = 256
/** Versions or suites that one Hello offers. */
export const HELLO_OFFERS_MAX = 8
/** Bytes of the limits that a server states in its reply, and how many there are. */
export const SERVER_LIMITS_BYTES_MAX = 1024
export const SERVER_LIMITS_MAX = 16
/** How long a cookie of a handshake is taken, in ms: longer than a slow line needs to send it back. */
export const COOKIE_MS = 30_000
/** How long a server's delegation lives at most, in ms: what a stolen acknowledgement key is good for. */
export const DELEGATION_MS_MAX: number = 7 * 24 * 3_600_000
/** How long a ticket stands for the signature of the handshake that it goes back to, in ms: as long as one delegation is given out. */
export const TICKET_MS: number = 24 * 3_600_000
/** Tickets that a server keeps, at some 400 bytes each; and a client, of one server: as many connections as break at once. */
export const TICKETS_MAX = 16_384
export const TICKETS_OF_SERVER_MAX = 16
/** How far the clocks of two ends may differ where a delegation begins or ends, in ms. */
export const WIRE_CLOCK_MS: number = 5 * 60_000
/** Bytes of the plaintext of one frame: the largest record, and 68 kB for what goes with it. */
export const WIRE_PLAINTEXT_BYTES_MAX: number = 1024 * 1024 + 4096
/** Frames and bytes of plaintext under one key of a direction: far below what GCM bears. */
export const WIRE_KEY_FRAMES_MAX: number = 2 ** 20
export const WIRE_KEY_BYTES_MAX: number = 4 * 1024 * 1024 * 1024
/** Bytes of the name of a server's chain in UTF-8, its parts, and bytes of its folder's name: disks take 255. */
export const CHAIN_NAME_BYTES_MAX = 240
export const CHAIN_NAME_PARTS_MAX = 8
export const CHAIN_FOLDER_BYTES_MAX = 240
/** Bytes that wait for one reader: four of the largest messages. A reader that falls behind further is cut off. */
export const OUTBOX_BYTES_MAX: number = 4 * SOCKET_MESSAGE_BYTES_MAX
/** How long a reader may take nothing at all while something waits for it, in ms. */
export const OUTBOX_STALL_MS = 30_000
/** Addresses and identities that a server keeps count of: at 200 bytes each, 13 MB each. */
export const ADMISSION_ENTRIES_MAX = 65_536
/** Series of one metric: what scrapes it keeps each for weeks. */
export const METRIC_SERIES_MAX = 256
/** Calls of one process to one service that are under way at once, and those that wait for one of these to end. */
export const SERVICE_CALLS_MAX = 1024
export const SERVICE_WAITING_MAX = 16_384
/** Calls that an instance has seen and not yet taken: what is over is found again when it looks round. */
export const SERVICE_SEEN_MAX = 65_536
/** Handlers of one instance at a time. */
export const SERVICE_CONCURRENCY_MAX = 4096
/** How long a call may wait for its reply, in ms: well within the life of a desk. */
export const SERVICE_TIMEOUT_MAX: number = 12 * 3_600_000
/** Characters of the reason and the text of an error that a service tells. */
export const SERVICE_REASON_MAX = 64
export const SERVICE_TEXT_MAX = 1024

/** A log that is compacted by its growth is so from this length on: below it there is nothing to win. */
export const COMPACT_FROM_BYTES: number = 16 * 1024 * 1024
