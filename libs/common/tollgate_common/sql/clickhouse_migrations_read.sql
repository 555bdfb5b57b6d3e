-- The digests of a package's migrations that have run.
SELECT name, digest FROM migrations WHERE package = {package:String}
