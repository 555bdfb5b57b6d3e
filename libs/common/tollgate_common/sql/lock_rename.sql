-- Change the state of a lock, if no other process has changed it.
RENAME TABLE {old:Identifier} TO {new:Identifier}
