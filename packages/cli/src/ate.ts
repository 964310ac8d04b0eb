#!/usr/bin/env node
/** The command `ate`. */
import { program } from './program.ts'
import { runProgram } from './run-program.ts'

await runProgram(program())
