-- The periods that go on are few among all that ever were; the service's gauges count them.
CREATE INDEX allotments_by_end ON allotments (ends_at);
