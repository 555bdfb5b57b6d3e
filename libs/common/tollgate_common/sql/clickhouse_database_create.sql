-- Create the database of the URL, before its migrations.
CREATE DATABASE IF NOT EXISTS {database:Identifier}
