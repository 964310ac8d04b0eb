/** A map for each object, made when it is first asked for, and gone with the object. */
export function mapOf<Key extends WeakKey, Value>(
  maps: WeakMap<Key, Map<string, Value>>,
  key: Key,
): Map<string, Value> {
  let map = maps.get(key)
  if (!map) {
    map = new Map()
    maps.set(key, map)
  }
  return map
}
