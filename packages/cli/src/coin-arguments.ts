/** The arguments of `ate coin`. */
import { type Command, Option } from 'commander'
import type { CoinWords } from './coin.ts'
import { actingOptions } from './command-options.ts'
import { wholeNumber } from './run-program.ts'

type Coins = typeof import('./coin.ts')
type Run = (coins: Coins, place: string, args: readonly unknown[], words: CoinWords) => Promise<void>

/** What stands where, by its name. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  amount: 'what it is worth: 12.34',
  to: 'a public id, or a file that holds it',
  coin: 'its id',
  'amounts...': 'what each of them is worth; together as much as the coin',
  'coins...': 'their ids',
}

const VERBS: readonly {
  readonly name: string
  readonly description: string
  readonly args: readonly string[]
  readonly run: Run
}[] = [
  {
    name: 'list',
    description: "List this identity's coins, or those of --owner (a fingerprint, or everyone).",
    args: [],
    run: ({ listCoins }, place, _, words) => listCoins(place, words),
  },
  {
    name: 'mint',
    description: 'Strike a coin for somebody: a public id, or a file that holds it.',
    args: ['<amount>', '<to>'],
    run: ({ mintCoin }, place, [amount, to], words) => mintCoin(place, amount as string, to as string, words),
  },
  {
    name: 'give',
    description: 'Hand a coin on to somebody: a public id, or a file that holds it.',
    args: ['<coin>', '<to>'],
    run: ({ giveCoin }, place, [coin, to], words) => giveCoin(place, coin as string, to as string, words),
  },
  {
    name: 'carve',
    description: 'Melt a coin into several that are worth as much together.',
    args: ['<coin>', '<amounts...>'],
    run: ({ carveCoin }, place, [coin, amounts], words) => carveCoin(place, coin as string, amounts as string[], words),
  },
  {
    name: 'join',
    description: 'Melt coins into one.',
    args: ['<coins...>'],
    run: ({ joinCoins }, place, [coins], words) => joinCoins(place, coins as string[], words),
  },
  {
    name: 'burn',
    description: 'Take a coin of your own out of the world.',
    args: ['<coin>'],
    run: ({ burnCoin }, place, [coin], words) => burnCoin(place, coin as string, words),
  },
  {
    name: 'supply',
    description: 'Print the worth of all coins.',
    args: [],
    run: ({ coinSupply }, place, _, words) => coinSupply(place, words),
  },
]

export function addCoin(ate: Command): void {
  const coin = ate.command('coin').description('Coins that only their owners hand on.').helpCommand(false)
  for (const { name, description, args, run } of VERBS) {
    const command = coin
      .command(name)
      .description(description)
      .argument('<place>', 'a chain, as a path, file:PATH or address')
    for (const arg of args) command.argument(arg, ARGUMENTS[arg.slice(1, -1)])
    actingOptions(
      command
        .addOption(new Option('--currency <code>', 'of the coins').makeOptionMandatory())
        .option('--scale <digits>', 'digits behind the point, of a currency that is not in ISO 4217', wholeNumber)
        .option('--owner <fingerprint>', 'of list: whose coins'),
    ).action(async (...given: unknown[]) => {
      const words = { ...ate.opts(), ...(given[args.length + 1] as CoinWords) }
      await run(await import('./coin.ts'), given[0] as string, given.slice(1, args.length + 1), words)
    })
  }
}
