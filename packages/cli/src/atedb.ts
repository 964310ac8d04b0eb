#!/usr/bin/env node
/** The command `atedb`: `atedb solo` is `ate serve` under the name that it had in ATE. */
import { Command } from 'commander'
import { ownVersion, runProgram } from './run-program.ts'
import { addServe } from './serve-arguments.ts'

const atedb: Command = new Command('atedb')
  .description('Serve chains over the network.')
  .version(ownVersion(), '--version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand(false)
  .exitOverride()
  .showHelpAfterError('Run `atedb --help` for help.')
addServe(atedb, 'solo')
await runProgram(atedb)
