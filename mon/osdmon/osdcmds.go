package osdmon

import "glue/mon/service"

func (s *Service) osdCommands() []service.Row                       { return nil }
func (s *Service) crushCommands() []service.Row                     { return nil }
func (s *Service) ruleCommands() []service.Row                      { return nil }
func (s *Service) cmdPoolGet(r *service.Request) service.Answer     { return service.OK("") }
func (s *Service) cmdPoolSet(r *service.Request) service.Answer     { return service.OK("") }
func (s *Service) cmdUtilization(r *service.Request) service.Answer { return service.OK("") }
