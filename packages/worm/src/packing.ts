/** Files in a row as one stream: tar (ustar, with pax for what is large) or zip (not compressed, with zip64). Memory stays flat. */
import { makeZip } from 'client-zip'
import { createTarPacker, type TarPackController } from 'modern-tar'

export interface PackedFile {
  readonly name: string
  /** Bytes. */
  readonly size: number
  readonly at: Date
  readonly body: Uint8Array | ReadableStream<Uint8Array>
}

export type PackFormat = 'tar' | 'zip'

type Pack = (
  files: AsyncGenerator<PackedFile, void, void>,
  signal: AbortSignal | undefined,
) => ReadableStream<Uint8Array>

/** Bytes that a header of tar can say; above, the field `size` of pax does. */
const OCTAL_MAX: number = 8 * 1024 ** 3 - 1
/** Zip knows no time before. */
const ZIP_EPOCH: Date = new Date('1980-01-01T00:00:00Z')

export const FORMATS: Readonly<Record<PackFormat, Pack>> = { tar: tarOf, zip: zipOf }

function tarOf(
  files: AsyncGenerator<PackedFile, void, void>,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const { readable, controller } = createTarPacker()
  void packAll(controller, files, signal).then(
    () => controller.finalize(),
    (error: unknown) => controller.error(error),
  )
  return readable
}

async function packAll(
  tar: TarPackController,
  files: AsyncGenerator<PackedFile, void, void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const { name, size, at, body } of files) {
    const pax = size > OCTAL_MAX ? { pax: { size: String(size) } } : {}
    const entry = tar.add({ name, size, mtime: at, ...pax })
    if (body instanceof ReadableStream) await body.pipeTo(entry, signal ? { signal } : {})
    else await writeAll(entry, body)
  }
}

async function writeAll(entry: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = entry.getWriter()
  if (bytes.length > 0) await writer.write(bytes)
  await writer.close()
}

function zipOf(files: AsyncGenerator<PackedFile, void, void>): ReadableStream<Uint8Array> {
  return makeZip(zipFilesOf(files))
}

async function* zipFilesOf(
  files: AsyncGenerator<PackedFile, void, void>,
): AsyncGenerator<{ name: string; lastModified: Date; size: number; input: ReadableStream<Uint8Array> }, void, void> {
  for await (const { name, size, at, body } of files) {
    const input = body instanceof ReadableStream ? body : new Blob([body.slice()]).stream()
    yield { name, size, lastModified: at < ZIP_EPOCH ? ZIP_EPOCH : at, input }
  }
}
