declare const brand: unique symbol;

/** A type that no other type of the same shape fits: a `NodeId` is not a `SegmentId`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
