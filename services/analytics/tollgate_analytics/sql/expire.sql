-- Record that a month of a tier has expired, before its data is dropped.
INSERT INTO expired SELECT {tier:String}, {month:UInt32}, now64(3)
