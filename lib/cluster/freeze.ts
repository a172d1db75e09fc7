/** Freezes plain data all the way down; what is frozen already is left alone. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  const parts: readonly unknown[] = Object.values(value);
  for (const part of parts) deepFreeze(part);
  return Object.freeze(value);
}
