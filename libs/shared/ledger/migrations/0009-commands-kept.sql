-- Answered commands and findings that are gone are deleted by age.
create index commands_answered on commands (answered_at) where answered_at is not null;
create index findings_gone on findings (gone_at) where state = 'gone';
