/** Shared by the tests of services: one declared service, its handlers, and a chain of alice where they run. */
// Loaded when it is first needed, and so before: simulated time does not wait for it.
import '../../src/data/sweeping.ts'
import type { Chain } from '../../src/data/chain.ts'
import { type Served, type ServiceOptions, service } from '../../src/data/service.ts'
import type { ServiceHandlers } from '../../src/data/service-handling.ts'
import {
  findService,
  LEASES,
  Lease,
  type ServicePlace,
  Slot,
  type SlotValue,
  slotsOf,
} from '../../src/data/service-place.ts'
import { defineService, type ProcedureSchemas, type ServiceType } from '../../src/data/service-type.ts'
import type { StandardSchema } from '../../src/data/standard-schema.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { shape, turns } from './kit.ts'

interface Procedures {
  readonly price: {
    readonly input: StandardSchema<unknown, { item: string }>
    readonly output: StandardSchema<unknown, { cents: number }>
  }
  readonly ping: ProcedureSchemas
}

export interface ShopTypes {
  readonly price: {
    readonly sent: { item: string }
    readonly received: { item: string }
    readonly returned: { cents: number }
    readonly replied: { cents: number }
  }
  readonly ping: {
    readonly sent: undefined
    readonly received: undefined
    readonly returned: ReturnType<() => void>
    readonly replied: undefined
  }
}

const input = { ...shape<{ item: string }>({ item: 'string' }) }
const output = { ...shape<{ cents: number }>({ cents: 'number' }) }
export const Shop: ServiceType<ShopTypes> = defineService<Procedures & Record<string, ProcedureSchemas>>('shop', {
  price: { input, output },
  ping: {},
}) as unknown as ServiceType<ShopTypes>

const handlers: ServiceHandlers<ShopTypes> = {
  price: ({ item }) => ({ cents: item.length }),
  ping: () => undefined,
}

export function serveShop(
  chain: Chain,
  given: Partial<ServiceHandlers<ShopTypes>> = {},
  options: ServiceOptions = {},
): Served {
  return service(chain, Shop, { ...handlers, ...given }, options)
}

/** A promise that the test settles, for handlers that wait. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

export function gate(): Gate {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

/** Lets time pass in steps, with everything that is ready run in between, until `done` is settled. */
export async function passUntil<T>(platform: TestPlatform, done: Promise<T>, stepMs = 1000, steps = 600): Promise<T> {
  let settled = false
  done.then(
    () => (settled = true),
    () => (settled = true),
  )
  for (let i = 0; i < steps && !settled; i++) {
    await turns(3)
    if (!settled) platform.advance(stepMs)
  }
  return done
}

export function placeOf(chain: Chain): ServicePlace {
  return findService(chain, Shop.name, undefined)!
}

export async function slotValues(chain: Chain): Promise<(SlotValue | undefined)[]> {
  return Promise.all(slotsOf(chain, placeOf(chain)).map(async (id) => (await chain.get(Slot, id))?.value))
}

export function leaseCount(chain: Chain): number {
  return chain.children(Lease, placeOf(chain).service, LEASES).count()
}
